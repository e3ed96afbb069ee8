// What a browser has and Node lacks, as far as the modules under test look at it while they load.
const interval = globalThis.setInterval;
// A clock of a page never ends; one of a test must not keep it from ending.
globalThis.setInterval = (...given) => interval(...given).unref();
// Vue takes a document for a browser, and makes an element of it.
globalThis.document = { hidden: false, addEventListener() {}, createElement: () => ({}) };
globalThis.window = globalThis;

Map.groupBy ??= (items, key) => {
  const groups = new Map();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
};
