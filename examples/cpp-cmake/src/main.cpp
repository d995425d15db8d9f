// A small HTTP server: cpp-httplib serves, fmt writes.
#include <cstdlib>
#include <string>

#include <fmt/core.h>
#include <httplib.h>

int main() {
    httplib::Server server;
    server.Get(R"(/square/(\d+))", [](const httplib::Request& request, httplib::Response& response) {
        const long number = std::stol(request.matches[1]);
        response.set_content(fmt::format("{} squared is {}\n", number, number * number), "text/plain");
    });
    const char* port = std::getenv("PORT");
    return server.listen("0.0.0.0", port ? std::stoi(port) : 3000) ? 0 : 1;
}
