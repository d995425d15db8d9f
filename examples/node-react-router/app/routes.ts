import { route, type RouteConfig } from "@react-router/dev/routes";

export default [route("orders/:number", "./order.tsx")] satisfies RouteConfig;
