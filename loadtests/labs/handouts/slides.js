Reveal.initialize({
  width: 1280,
  height: 720,
  margin: 0.03,
  center: false,
  hash: true,
  slideNumber: "c/t",
  transition: "none",
  // A slide is prepared for a class that looks at it together: on a phone it stays one, too.
  scrollActivationWidth: null,
  plugins: [RevealNotes],
});
