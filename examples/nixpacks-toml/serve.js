const fs = require("node:fs");
const http = require("node:http");

const page = fs.readFileSync("dist/index.html", "utf8");
const stamp = fs.readFileSync("dist/stamp.txt", "utf8");

const server = http.createServer((_request, response) => {
  response.writeHead(200, { "content-type": "text/html", "x-audience": process.env.AUDIENCE });
  response.end(`${page}<pre>${stamp}</pre>`);
});

server.listen(Number(process.env.PORT ?? 3000), "0.0.0.0");
process.on("SIGTERM", () => server.close());
