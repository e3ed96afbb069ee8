// What a browser has and Node lacks, as far as the modules under test look at it while they load.

// The clock of a page never ends; that of a test must not keep the test from ending.
const interval = globalThis.setInterval as (...given: any[]) => any;
Object.assign(globalThis, {
  setInterval: (...given: any[]) => interval(...given).unref(),
  document: { hidden: false, addEventListener() {}, createElement: () => ({}) },
  window: globalThis,
});

Map.groupBy ??= <K, T>(items: Iterable<T>, key: (item: T, index: number) => K) => {
  const groups = new Map<K, T[]>();
  let index = 0;
  for (const item of items) {
    const its = key(item, index++);
    groups.set(its, [...(groups.get(its) ?? []), item]);
  }
  return groups;
};
