// Lets Playwright find the system's browser where it looks for its own, which is never downloaded.
const { existsSync, mkdirSync, symlinkSync } = require('node:fs');
const { dirname } = require('node:path');

const names = ['playwright', 'playwright-core', 'playwright-chromium'];
const found = names.flatMap((name) => {
  try {
    return [require.resolve(name, { paths: ['/app'] })];
  } catch {
    return [];
  }
});
const { chromium } = require(found[0]);

function link(path, browser) {
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(browser, path);
  console.log(`${path} is ${browser}`);
}

async function main() {
  if (existsSync('/usr/bin/chromium')) link(chromium.executablePath(), '/usr/bin/chromium');
  try {
    await (await chromium.launch()).close();
  } catch (error) {
    // Without a screen it is another program; only the error says where that is expected.
    const missing = /Executable doesn't exist at (\/\S+)/.exec(error.message);
    if (!missing) throw error;
    link(missing[1], '/usr/bin/chromium-headless-shell');
    await (await chromium.launch()).close();
  }
}

main();
