import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const greeting = readFileSync("dist/greeting.txt");
const server = createServer((_, response) => response.end(greeting));
server.listen(process.env.PORT ?? 3000, "0.0.0.0");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
