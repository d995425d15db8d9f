const fs = require('node:fs');

fs.mkdirSync('dist', { recursive: true });
fs.writeFileSync('dist/index.html', `<h1>Built as ${process.env.STAGE ?? 'no stage'}</h1>\n`);
