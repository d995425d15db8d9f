import { useLoaderData, type LoaderFunctionArgs } from "react-router";

export async function loader({ params }: LoaderFunctionArgs) {
  return { title: `Order ${params.number} of React Router` };
}

export default function Order() {
  return <h1>{useLoaderData<typeof loader>().title}</h1>;
}
