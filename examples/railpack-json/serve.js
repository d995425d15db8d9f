const fs = require('node:fs');
const http = require('node:http');
const { execFileSync } = require('node:child_process');

const page = fs.readFileSync('dist/index.html', 'utf8') + fs.readFileSync('/etc/stamp', 'utf8');
const name = execFileSync('jq', ['-r', '.name', 'dist/package.json'], { encoding: 'utf8' });

http
  .createServer((_, response) => response.end(`${page}${name}runs as ${process.env.STAGE}\n`))
  .listen(process.env.PORT ?? 3000, '0.0.0.0');
