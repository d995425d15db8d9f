// Renders page.md into dist/index.html.
const fs = require("node:fs");

async function main() {
  const { marked } = await import("marked");
  fs.mkdirSync("dist", { recursive: true });
  fs.writeFileSync("dist/index.html", marked.parse(fs.readFileSync("page.md", "utf8")));
}

main();
