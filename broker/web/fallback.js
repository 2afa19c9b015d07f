// Says why a page stays empty, in browsers that do not understand its modules or did not get them. It is no module and
// keeps to what every browser of the last fifteen years understands. A page that has started removes #broken.
(function () {
  "use strict";
  var TOO_OLD = "This browser is too old for this page: use Chrome 85, Firefox 90, Safari 15, or newer.";
  var PATIENCE = 15000; // ms
  var missing = false;

  function look() {
    var sentence = document.getElementById("broken");
    if (!sentence) return;
    if (!missing) sentence.textContent = TOO_OLD; // else it says already that scripts did not arrive
    sentence.className = "now";
  }

  function onError(event) {
    var from = event.target;
    if (from && from.nodeName === "SCRIPT") missing = true;
  }

  window.addEventListener("error", onError, true);
  window.addEventListener("load", look);
  setTimeout(function () {
    if (document.readyState !== "complete") {
      missing = true;
      look();
    }
  }, PATIENCE);
})();
