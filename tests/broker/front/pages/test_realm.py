"""Where a page makes its connections: in itself, or in a frame that may use neither camera nor microphone."""

import pytest
import pytest_asyncio

from rigs.chromium import missing
from tests.fakes.broker import RunningBroker

playwright = pytest.importorskip("playwright.async_api")
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason="needs Chromium"),
]

# Somebody's page that has the element on it. Our own have a policy by which they may use neither.
PAGE = "<!doctype html><title>theirs</title><p>theirs</p>"
MADE = """async (number) => {
  const { makeConnection } = await import("/static/realm.js");
  const made = [];
  for (let at = 0; at < number; at += 1) made.push(await makeConnection({ bundlePolicy: "max-bundle" }));
  const frames = [...document.querySelectorAll("iframe")];
  const may = (frame) => ["camera", "microphone"].filter((it) => frame.contentDocument.featurePolicy.allowsFeature(it));
  window.made = made;
  return {
    ours: made.map((pc) => pc instanceof RTCPeerConnection),
    policies: made.map((pc) => pc.getConfiguration().bundlePolicy),
    frames: frames.map((frame) => ({ hidden: frame.hidden, allow: frame.allow, may: may(frame) })),
  };
}"""
ONE_FRAME = [{"hidden": True, "allow": "camera 'none'; microphone 'none'", "may": []}]
PICTURE = """async () => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const paint = setInterval(() => canvas.getContext("2d").fillRect(0, 0, Math.random() * 64, 64), 40);
  const [from, to] = [new RTCPeerConnection(), window.made[0]];
  from.onicecandidate = ({ candidate }) => candidate && to.addIceCandidate(candidate.toJSON());
  to.onicecandidate = ({ candidate }) => candidate && from.addIceCandidate(candidate.toJSON());
  const source = new MediaStream(); // the page's, as a session's is
  const video = document.body.appendChild(document.createElement("video"));
  Object.assign(video, { muted: true, autoplay: true, srcObject: source });
  to.ontrack = ({ track }) => source.addTrack(track);
  for (const track of canvas.captureStream(25).getTracks()) from.addTrack(track);
  await from.setLocalDescription();
  await to.setRemoteDescription(from.localDescription.toJSON());
  await to.setLocalDescription();
  await from.setRemoteDescription(to.localDescription.toJSON());
  await new Promise((then) => video.requestVideoFrameCallback(then));
  clearInterval(paint);
  from.close();
  return [video.videoWidth, to.connectionState];
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def theirs(page):
    async def answer(route) -> None:
        await route.fulfill(content_type="text/html", body=PAGE)

    await page.route("**/theirs", answer)
    return page


@pytest.mark.parametrize("right", ["camera", "microphone"])
async def test_a_page_with_a_right_to_either_makes_connections_in_one_frame_without(theirs, right: str) -> None:
    await theirs.context.grant_permissions([right])
    await theirs.goto("/theirs")
    found = await theirs.evaluate(MADE, 3)
    assert found == {"ours": [False] * 3, "policies": ["max-bundle"] * 3, "frames": ONE_FRAME}
    width, state = await theirs.evaluate(PICTURE)
    assert (width, state) == (64, "connected"), "its tracks are shown in the page"


async def test_a_frame_that_the_page_has_thrown_away_is_made_anew(theirs) -> None:
    await theirs.context.grant_permissions(["camera"])
    await theirs.goto("/theirs")
    await theirs.evaluate(MADE, 1)
    await theirs.evaluate("document.querySelector('iframe').remove()")
    found = await theirs.evaluate(MADE, 1)
    assert (found["ours"], found["frames"]) == ([False], ONE_FRAME)


@pytest.mark.parametrize(
    "lacking",
    [
        "",  # no right
        "Object.defineProperty(navigator, 'permissions', { value: undefined })",
        "navigator.permissions.query = () => Promise.reject(new TypeError('camera is no name'))",
        "navigator.permissions.query = () => new Promise(() => {})",
        "Object.defineProperty(navigator, 'userAgentData', { value: undefined })",
    ],
)
async def test_any_other_page_makes_them_itself(theirs, lacking: str) -> None:
    if lacking:
        await theirs.context.grant_permissions(["camera"])
        await theirs.add_init_script(lacking)
    await theirs.goto("/theirs")
    found = await theirs.evaluate(MADE, 1)
    assert found == {"ours": [True], "policies": ["max-bundle"], "frames": []}


async def test_in_a_sandbox_each_frame_is_a_stranger_and_the_page_makes_them_itself(
    broker: RunningBroker, theirs
) -> None:
    await theirs.goto("/theirs")
    script = f"""
      Object.defineProperty(navigator, "userAgentData", {{ value: {{}} }});
      Object.defineProperty(navigator, "permissions", {{ value: {{ query: async () => ({{ state: "granted" }}) }} }});
      const {{ makeConnection }} = await import("{broker.url}static/realm.js");
      const pc = await makeConnection({{}});
      parent.postMessage([origin, pc instanceof RTCPeerConnection, document.querySelectorAll("iframe").length], "*");
    """
    told = await theirs.evaluate(
        """(script) => new Promise((then, fail) => {
            addEventListener("message", ({ data }) => then(data));
            setTimeout(() => fail(new Error("nothing was said")), 10_000);
            const frame = document.createElement("iframe");
            frame.setAttribute("sandbox", "allow-scripts");
            frame.srcdoc = `<script type=module>${script}</script>`;
            document.body.append(frame);
        })""",
        script,
    )
    assert told == ["null", True, 1], "it was tried, and nothing thrown"
