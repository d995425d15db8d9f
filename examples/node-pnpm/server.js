import { createServer } from "node:http";
import ms from "ms";

const agent = process.env.npm_config_user_agent ?? "nobody";

createServer((request, response) => {
  response.end(`Started by ${agent.split("/")[0]}: a day is ${ms("1d") / 1000} seconds\n`);
}).listen(process.env.PORT ?? 3000, "0.0.0.0");
