import { createServer } from 'node:http';
import { chromium } from 'playwright';

const server = createServer(async (request, response) => {
  const browser = await chromium.launch();
  const page = await browser.newPage();
  await page.setContent(`<h1>${new URL(request.url, 'http://x').searchParams.get('name')}</h1>`);
  const text = await page.evaluate(() => document.querySelector('h1').textContent);
  const picture = await page.screenshot();
  await browser.close();
  response.end(`${text} is a picture of type ${picture.toString('latin1', 1, 4)}\n`);
});
server.listen(process.env.PORT ?? 3000);
