import { createServer } from "node:http";
import ms from "ms";

createServer((request, response) => {
  response.end(`${process.env.npm_config_user_agent?.split("/")[0] ?? "node"} knows that a day is ${ms("1d", { long: true }) === "1 day" ? 86400 : 0} seconds\n`);
}).listen(process.env.PORT ?? 3000, "0.0.0.0");
