import { createFileRoute } from "@tanstack/react-router";
import { createServerFn } from "@tanstack/react-start";

const describe = createServerFn()
  .validator((title: string) => title)
  .handler(({ data }) => `${data}, rendered by TanStack Start`);

export const Route = createFileRoute("/books/$title")({
  loader: ({ params }) => describe({ data: params.title }),
  component: () => <h1>{Route.useLoaderData()}</h1>,
});
