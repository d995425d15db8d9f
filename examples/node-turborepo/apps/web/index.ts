import { createServer } from 'node:http';
import { greeting } from '@repo/greeting';

const server = createServer((request, response) => {
  response.end(`${greeting('Turborepo')} ${process.env.PLACE ?? 'nowhere'}\n`);
});
server.listen(process.env.PORT ?? 3000);
