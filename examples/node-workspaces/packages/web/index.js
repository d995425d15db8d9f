const { createServer } = require("node:http");
const { readFileSync } = require("node:fs");
const { names } = require("@zoo/names");

const prepared = readFileSync("../../prepared.txt", "utf8");
createServer((request, response) => {
  response.end(JSON.stringify({ names, prepared }));
}).listen(process.env.PORT ?? 3000);
