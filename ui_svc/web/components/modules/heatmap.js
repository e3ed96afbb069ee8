// Pairs of epics: the darker a field, the more files they will conflict in. The number is shown too.
import { computed } from "vue";

export const Heatmap = {
  // rows, columns: [{key, title}]; cells: "ROW COLUMN" → how many files.
  props: ["rows", "columns", "cells", "picked"],
  emits: ["pick"],
  template: /* HTML */ ` <div class="heat-box" tabindex="0" role="region" aria-label="Heat map of conflicts">
    <table class="heat">
      <caption class="visually-hidden">
        Files in which two epics will conflict
      </caption>
      <thead>
        <tr>
          <td></td>
          <th v-for="column in columns" :key="column.key" scope="col">
            <span :title="column.title">{{ column.title }}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        <tr v-for="row in rows" :key="row.key">
          <th scope="row" :title="row.title">{{ row.title }}</th>
          <td v-for="column in columns" :key="column.key" :class="{ 'is-self': row.key === column.key }">
            <button
              v-if="count(row, column)"
              type="button"
              class="heat-cell num"
              :style="{ '--heat': heat(row, column) }"
              :aria-pressed="picked === row.key + ' ' + column.key"
              :aria-label="row.title + ' and ' + column.title + ': ' + count(row, column) + ' files'"
              @click="$emit('pick', picked === row.key + ' ' + column.key ? '' : row.key + ' ' + column.key)"
            >
              {{ count(row, column) }}
            </button>
            <span v-else-if="row.key !== column.key" class="heat-none" aria-label="none">·</span>
          </td>
        </tr>
      </tbody>
    </table>
  </div>`,
  setup(props) {
    const most = computed(() => Math.max(1, ...props.cells.values()));
    const count = (row, column) => props.cells.get(`${row.key} ${column.key}`) ?? 0;
    return { count, heat: (row, column) => `${Math.round(25 + (75 * count(row, column)) / most.value)}%` };
  },
};
