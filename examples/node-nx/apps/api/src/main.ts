import fastify from "fastify";

// The library's build: Nx makes it first.
const { price } = require("../prices/index.js") as { price: (item: string) => number };

const app = fastify();
app.get<{ Params: { item: string } }>("/prices/:item", (request) => {
  const { item } = request.params;
  return `Nx sells a ${item} for ${price(item)}`;
});

app.listen({ host: "0.0.0.0", port: Number(process.env.PORT ?? 3000) }).catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
