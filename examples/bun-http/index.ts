import { Database } from "bun:sqlite";
import { page } from "./src/page";

const database = new Database(":memory:");
database.run("create table visit (path text)");

const server = Bun.serve({
  port: Number(process.env.PORT ?? 3000),
  fetch(request) {
    const path = new URL(request.url).pathname;
    database.run("insert into visit values (?)", [path]);
    const { visits } = database.query("select count(*) as visits from visit").get() as { visits: number };
    return new Response(page(path, visits), { headers: { "content-type": "text/html" } });
  },
});

console.log(`listening on ${server.url}`);
