import { assert, test } from "vitest";
import { repositoryOf } from "../src/model/format";
import { choiceOf, queryOf } from "../src/runs/runsChoice";

test("a choice and its address say the same, and the first page is not named", () => {
  const query = "q=a+b&state=failed&project=%2Fcode%2Fshop&by=user%3Aada&sort=cost&page=3";
  assert.equal(queryOf(choiceOf(query)), query);
  assert.equal(queryOf(choiceOf(query), false), query.replace("&page=3", ""));
  assert.equal(queryOf(choiceOf("page=1")), "");
});

test("what an address names wrongly is not filtered", () => {
  assert.equal(queryOf(choiceOf("state=odd&sort=odd&page=-4&other=x")), "");
});

test("a repository is called by the last part of its path or URL", () => {
  const names = ["/code/shop", "/code/shop/", "https://host/team/shop.git", "git@host:shop.git", "/"];
  assert.deepEqual(names.map(repositoryOf), ["shop", "shop", "shop", "shop", "/"]);
});
