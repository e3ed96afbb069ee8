// A comment below its line, or the field in which it is written.
import { nextTick, onMounted, ref } from "vue";
import { Icon } from "./icons.js";

const Field = {
  props: ["notes"],
  template: /* HTML */ ` <form class="note-field" @submit.prevent="notes.save">
    <textarea
      ref="field"
      v-model="notes.draft.value.comment"
      rows="2"
      aria-label="Comment on this line"
      placeholder="What should be different here?"
      @keydown.ctrl.enter.prevent="notes.save"
      @keydown.meta.enter.prevent="notes.save"
      @keydown.esc.stop.prevent="notes.leave"
    ></textarea>
    <div class="note-buttons">
      <button type="submit" class="button small primary" :disabled="!notes.draft.value?.comment.trim()">
        {{ notes.draft.value.id ? "Change" : "Comment" }}</button
      ><button type="button" class="button small" @click="notes.leave">Cancel</button>
    </div>
  </form>`,
  setup() {
    const field = ref(null);
    onMounted(() => nextTick(() => field.value?.focus()));
    return { field };
  },
};

export const NoteRow = {
  props: ["notes", "note"],
  components: { Field, Icon },
  template: /* HTML */ ` <Field v-if="!note || notes.draft.value?.id === note.id" :notes="notes" />
    <div v-else class="note-shown">
      <p>{{ note.comment }}</p>
      <div class="note-buttons">
        <button type="button" class="button small ghost" @click="notes.edit(note)">Edit</button
        ><button
          type="button"
          class="icon-button"
          aria-label="Remove the comment"
          @click="notes.remove(note)"
        >
          <Icon name="cross" />
        </button>
      </div>
    </div>`,
};
