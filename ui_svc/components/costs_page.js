export { default } from "heddle/costs_page.js";
