// Vue 3. In templates: <camshaft-player …>, with compilerOptions.isCustomElement = (tag) => tag === "camshaft-player".

import { defineComponent, h, ref } from "vue";
import type { PlayerState } from "camshaft-player/vue";
import "camshaft-player/vue";

export const Camera = defineComponent({
  props: { name: { type: String, required: true }, token: { type: String, default: null } },
  setup(props) {
    const state = ref<PlayerState>("idle");
    return () =>
      h("figure", [
        h("camshaft-player", {
          server: "https://cams.example",
          camera: props.name,
          token: props.token,
          autoconnect: true,
          onStatechange: (event: CustomEvent<{ state: PlayerState }>) => (state.value = event.detail.state),
        }),
        h("figcaption", state.value),
      ]);
  },
});
