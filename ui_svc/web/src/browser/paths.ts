// Paths of the web app, which may be served below one.
import { pathPrefix } from "./nicegui";

export const href = (path: string) => `${pathPrefix()}${path}`;
