import { createRootRoute, Outlet, Scripts } from "@tanstack/react-router";

export const Route = createRootRoute({
  component: () => (
    <html lang="en">
      <head>
        <meta charSet="utf-8" />
        <title>Books</title>
      </head>
      <body>
        <Outlet />
        <Scripts />
      </body>
    </html>
  ),
});
