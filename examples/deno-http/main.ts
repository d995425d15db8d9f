import { Hono } from "hono";
import { greeting } from "./greeting.ts";

const app = new Hono();

app.get("/", (context) => context.text(greeting("world")));
app.get("/:name", (context) => context.text(greeting(context.req.param("name"))));

const port = Number(Deno.env.get("PORT") ?? 8000);
Deno.serve({ hostname: "0.0.0.0", port }, app.fetch);
