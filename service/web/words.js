// What the page calls things, and how it writes times.
const RUNGS = {
  remote: "Another box",
  tensorrt: "Cloned voice (graphics card)",
  onnxruntime: "Cloned voice (processor)",
  plain: "Plain voice",
  cache: "Said before",
};

export const rungName = (name) => RUNGS[name] ?? name;
export const lower = (text) => text.charAt(0).toLowerCase() + text.slice(1);
export const upper = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// "0.2 s", and two digits only where one would say nothing.
export function seconds(value) {
  if (value >= 10) return `${Math.round(value)} s`;
  return value < 0.095 ? `${Math.max(0.01, value).toFixed(2)} s` : `${value.toFixed(1)} s`;
}
