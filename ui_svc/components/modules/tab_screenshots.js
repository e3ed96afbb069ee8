// What the agent's screen looked like: a gallery, and one of them large.
import { computed, nextTick, ref } from "vue";
import { apiUrl } from "./api.js";
import { absolute, bytes, clockTime } from "./format.js";
import { Icon } from "./icons.js";
import { Empty } from "./parts.js";
import { plain } from "./text.js";

export const Screenshots = {
  props: ["attempt", "log", "live"],
  components: { Empty, Icon },
  template: `
    <div class="scroll" tabindex="0" aria-label="Screenshots">
      <ul v-if="shots.length" class="gallery">
        <li v-for="(shot, place) in shots" :key="shot.sequence">
          <button type="button" class="shot" :aria-label="'Enlarge: ' + caption(shot)" @click="enlarge(place)">
            <img :src="url(shot)" :alt="caption(shot)" loading="lazy" />
            <span class="shot-caption">{{ caption(shot) }}</span>
            <span class="shot-facts num" :title="absolute(shot.time)">{{ clockTime(shot.time) }} · {{ bytes(shot.size_bytes ?? 0) }}</span>
          </button>
        </li>
      </ul>
      <div v-else-if="!log.ready" class="gallery" role="status" aria-label="Loading"><div v-for="n in 3" :key="n" class="skeleton shot"></div></div>
      <Empty v-else icon="image" title="No screenshots yet"><p>{{ live ? "They appear here as soon as the agent takes one." : "This session took none." }}</p></Empty>
      <dialog ref="large" class="lightbox" aria-label="Screenshot" @click="onClick" @keydown="onKey" @cancel.stop @close.stop="at = -1">
        <template v-if="at >= 0">
          <img :src="url(shots[at])" :alt="caption(shots[at])" />
          <div class="lightbox-bar">
            <button type="button" class="icon-button" :disabled="at === 0" aria-label="Previous screenshot" @click="move(-1)"><Icon name="left" /></button>
            <span>{{ caption(shots[at]) }} <span class="num quiet">{{ at + 1 }} of {{ shots.length }}</span></span>
            <button type="button" class="icon-button" :disabled="at === shots.length - 1" aria-label="Next screenshot" @click="move(1)"><Icon name="right" /></button>
            <button type="button" class="icon-button" aria-label="Close screenshot" @click="large.close()"><Icon name="cross" /></button>
          </div>
        </template>
      </dialog>
    </div>`,
  setup(props) {
    const large = ref(null);
    const at = ref(-1);
    const shots = computed(() => (void props.log.version, props.log.shots.slice()));
    const url = (shot) => apiUrl(`${props.attempt}/artifacts/${shot.artifact}`);
    const caption = (shot) => plain(shot.caption ?? "") || "Screenshot";
    async function enlarge(place) {
      at.value = place;
      await nextTick();
      large.value.showModal();
    }
    const move = (by) => (at.value = Math.min(shots.value.length - 1, Math.max(0, at.value + by)));
    function onKey(event) {
      // Nothing of this reaches the session's own keys.
      event.stopPropagation();
      if (event.key === "ArrowLeft") move(-1);
      if (event.key === "ArrowRight") move(1);
    }
    function onClick(event) {
      event.stopPropagation();
      if (event.target === large.value || event.target.tagName === "IMG") large.value.close();
    }
    return { absolute, at, bytes, caption, clockTime, enlarge, large, move, onClick, onKey, shots, url };
  },
};
