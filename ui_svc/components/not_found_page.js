export { default } from "heddle/not_found.js";
