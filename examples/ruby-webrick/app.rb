require "bundler/setup"
require "greetings"
require "webrick"

server = WEBrick::HTTPServer.new(Port: ENV.fetch("PORT", 3000).to_i, BindAddress: "0.0.0.0")
server.mount_proc("/") { |request, response| response.body = Greetings.hello(request.query.fetch("name", "world")) + "\n" }
%w[INT TERM].each { |signal| trap(signal) { server.shutdown } }
server.start
