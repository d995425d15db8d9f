export const dynamic = "force-dynamic";

export default function Page() {
  return <main>Rendered by the standalone server</main>;
}
