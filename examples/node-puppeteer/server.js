import { createServer } from "node:http";
import puppeteer from "puppeteer";

// The sandbox of the browser would need namespaces, which a container does not give.
const launch = () => puppeteer.launch({ args: ["--no-sandbox"] });

const server = createServer(async (request, response) => {
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.setContent("<ul><li>one<li>two<li>three</ul>");
    const items = await page.$$eval("li", (found) => found.length);
    response.end(`Puppeteer counted ${items} items at ${request.url}\n`);
  } finally {
    await browser.close();
  }
});
server.listen(process.env.PORT ?? 3000);
