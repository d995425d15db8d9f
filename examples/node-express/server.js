import express from "express";
import lodash from "lodash";
import { z } from "zod";

const Greeting = z.object({ name: z.string().min(1).max(80).default("world") });

const app = express();
app.use(express.json());

app.get("/", (_request, response) => {
  response.send(lodash.capitalize("hello from Express"));
});

app.get("/greet", (request, response) => {
  const greeting = Greeting.safeParse(request.query);
  if (!greeting.success) {
    response.status(400).json({ errors: greeting.error.issues.map((issue) => issue.message) });
    return;
  }
  response.json({ message: `Hello, ${lodash.startCase(greeting.data.name)}!` });
});

app.get("/healthz", (_request, response) => response.json({ ok: true }));

const server = app.listen(Number(process.env.PORT ?? 3000), "0.0.0.0", () => {
  console.log(`listening on port ${server.address().port}, node ${process.version}`);
});

process.on("SIGTERM", () => server.close());
