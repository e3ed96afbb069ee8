// A plan as text, with each error under its line.
import { onMounted, onUnmounted, ref, watch } from "vue";

// NiceGUI provides the editor; it is loaded only where it is used.
const load = () => import("nicegui-codemirror");

export const PlanEditor = {
  // problems: [{line, message, field}]; line 0: no line.
  props: ["modelValue", "problems"],
  emits: ["update:modelValue"],
  template: /* HTML */ `<div ref="box" class="editor" :class="{ 'is-bad': problems.length }">
    <div v-if="!ready" class="skeleton-lines" role="status" aria-label="Loading the editor">
      <i></i><i></i><i></i>
    </div>
  </div>`,
  setup(props, { emit, expose }) {
    const box = ref(null);
    const ready = ref(false);
    let view = null;
    let mark = () => {};
    let gone = false;

    onMounted(async () => {
      const cm = await load();
      const yaml = await cm.languages.find((each) => each.name === "YAML").load();
      if (gone) return;
      const problems = problemField(cm);
      mark = () => view.dispatch({ effects: problems.set.of(props.problems) });
      view = new cm.EditorView({
        parent: box.value,
        doc: props.modelValue,
        extensions: [
          cm.basicSetup,
          yaml,
          cm.syntaxHighlighting(cm.HighlightStyle.define(colours(cm))),
          problems.field,
          cm.EditorView.contentAttributes.of({
            "aria-label": "Plan",
            "aria-describedby": "plan-found",
            spellcheck: "false",
          }),
          cm.EditorView.updateListener.of(
            (update) => update.docChanged && emit("update:modelValue", view.state.doc.toString()),
          ),
        ],
      });
      ready.value = true;
      mark();
    });
    onUnmounted(() => {
      gone = true;
      view?.destroy();
    });
    watch(
      () => props.modelValue,
      (text) => {
        if (view && text !== view.state.doc.toString())
          view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
      },
    );
    watch(
      () => props.problems,
      () => view && mark(),
    );

    function goTo(line) {
      const { from, to } = view.state.doc.line(Math.min(line, view.state.doc.lines));
      view.dispatch({ selection: { anchor: from, head: to }, scrollIntoView: true });
      view.focus();
    }
    expose({ goTo, focus: () => view?.focus() });
    return { box, ready };
  },
};

// The state that holds the errors: they move with the text until it is checked again.
function problemField(cm) {
  class Words extends cm.WidgetType {
    constructor(words) {
      super();
      this.words = words;
    }
    eq(other) {
      return other.words === this.words;
    }
    toDOM() {
      const it = document.createElement("div");
      it.className = "editor-problem";
      it.textContent = this.words;
      return it;
    }
  }
  const set = cm.StateEffect.define();
  const marks = (doc, problems) => {
    const byLine = Map.groupBy(
      problems.filter((each) => each.line > 0 && each.line <= doc.lines),
      (each) => each.line,
    );
    const ranges = [...byLine].flatMap(([number, each]) => {
      const line = doc.line(number);
      const words = each
        .map((problem) =>
          problem.field ? `${problem.field.split(".").at(-1)} ${problem.message}` : problem.message,
        )
        .join("\n");
      return [
        cm.Decoration.line({ class: "editor-bad-line" }).range(line.from),
        cm.Decoration.widget({ widget: new Words(words), block: true, side: 1 }).range(line.to),
      ];
    });
    return cm.Decoration.set(ranges, true);
  };
  const field = cm.StateField.define({
    create: () => cm.Decoration.none,
    update(known, transaction) {
      for (const effect of transaction.effects)
        if (effect.is(set)) return marks(transaction.state.doc, effect.value);
      return known.map(transaction.changes);
    },
    provide: (it) => cm.EditorView.decorations.from(it),
  });
  return { field, set };
}

// The highlighted parts are those of an editor theme; the colours are the design's.
const COLOURS = {
  "#98c379": "var(--ok)",
  "#d19a66": "var(--wait)",
  "#7d8799": "var(--text-3)",
  "#e06c75": "var(--run)",
};

const colours = (cm) =>
  cm.oneDarkHighlightStyle.specs.map((spec) =>
    spec.color ? { ...spec, color: COLOURS[spec.color] ?? "var(--text)" } : spec,
  );
