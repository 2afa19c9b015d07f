/** `<camshaft-player>` in JSX: import "camshaft-player/react" instead of "camshaft-player". React 19 sets properties. */

import type { ClassAttributes, HTMLAttributes } from "react";
import type { CamshaftPlayer, PlayerAttributes, PlayerEventMap } from "./player.js";

export * from "./player.js";

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "camshaft-player": PlayerAttributes & {
        onplaying?: (event: PlayerEventMap["playing"]) => void;
        onstalled?: (event: PlayerEventMap["stalled"]) => void;
        onrenewed?: (event: PlayerEventMap["renewed"]) => void;
        onclosed?: (event: PlayerEventMap["closed"]) => void;
        onerror?: (event: PlayerEventMap["error"]) => void;
        onstatechange?: (event: PlayerEventMap["statechange"]) => void;
      } & ClassAttributes<CamshaftPlayer> &
        Omit<HTMLAttributes<CamshaftPlayer>, keyof PlayerAttributes>;
    }
  }
}
