// Angular: CUSTOM_ELEMENTS_SCHEMA lets a template have the tag, and HTMLElementTagNameMap gives the element its type.

import { CUSTOM_ELEMENTS_SCHEMA, Component, type ElementRef, input, signal, viewChild } from "@angular/core";
import type { CamshaftPlayer, PlayerState } from "camshaft-player";
import "camshaft-player";

@Component({
  selector: "app-camera",
  schemas: [CUSTOM_ELEMENTS_SCHEMA],
  template: `
    <camshaft-player
      #player
      server="https://cams.example"
      [camera]="name()"
      [token]="token()"
      autoconnect
      (statechange)="state.set($event.detail.state)"
    ></camshaft-player>
    <p>{{ state() }}</p>
  `,
})
export class Camera {
  readonly name = input.required<string>();
  readonly token = input<string | null>(null);
  readonly state = signal<PlayerState>("idle");
  readonly player = viewChild.required<ElementRef<CamshaftPlayer>>("player");

  stop(): void {
    this.player().nativeElement.disconnect();
  }
}
