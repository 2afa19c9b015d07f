// React 19 (it sets properties and listens to events of custom elements).

import { useEffect, useRef, useState } from "react";
import type { CamshaftPlayer, PlayerState } from "camshaft-player/react";
import "camshaft-player/react";

export function Camera({ name, token }: { name: string; token: string }) {
  const player = useRef<CamshaftPlayer>(null);
  const [state, setState] = useState<PlayerState>("idle");

  useEffect(() => () => player.current?.disconnect(), []);

  return (
    <figure>
      <camshaft-player
        ref={player}
        server="https://cams.example"
        camera={name}
        token={token}
        autoconnect
        onstatechange={({ detail }) => setState(detail.state)}
      />
      <figcaption>{state}</figcaption>
    </figure>
  );
}
