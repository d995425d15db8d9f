import Fastify from "fastify";
import { Notebook } from "./notes.js";

const notebook = new Notebook();
notebook.add("compiled by tsc");

const app = Fastify({ logger: true });

app.get("/notes", async () => notebook.all());

app.post<{ Body: { text: string } }>(
  "/notes",
  { schema: { body: { type: "object", required: ["text"], properties: { text: { type: "string" } } } } },
  async (request, reply) => reply.code(201).send(notebook.add(request.body.text)),
);

process.on("SIGTERM", () => void app.close());

await app.listen({ port: Number(process.env.PORT ?? 3000), host: "0.0.0.0" });
