/** `<camshaft-player>` in Vue's templates: import "camshaft-player/vue", and name it in `compilerOptions.isCustomElement`. */

import type { DefineComponent } from "vue";
import type { PlayerAttributes, PlayerEventMap } from "./player.js";

export * from "./player.js";

type Emits = { [Name in keyof PlayerEventMap]: (event: PlayerEventMap[Name]) => void };

declare module "vue" {
  interface GlobalComponents {
    "camshaft-player": DefineComponent<PlayerAttributes, {}, {}, {}, {}, {}, {}, Emits>;
  }
}
