// A dependency with an install script: bcrypt's own chooses or compiles its native addon.
const http = require("node:http");
const bcrypt = require("bcrypt");

const hash = bcrypt.hashSync("correct horse", 6);

const server = http.createServer((request, response) => {
  const { searchParams } = new URL(request.url, "http://localhost");
  const same = bcrypt.compareSync(searchParams.get("password") ?? "", hash);
  response.writeHead(same ? 200 : 403, { "content-type": "text/plain" });
  response.end(same ? "welcome\n" : "wrong password\n");
});

server.listen(Number(process.env.PORT ?? 3000), "0.0.0.0");
process.on("SIGTERM", () => server.close());
