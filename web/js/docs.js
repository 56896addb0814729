/* Shows our OpenAPI document in Swagger UI. Not a module: it runs right after Swagger UI's script. */

const dark = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followScheme);
followScheme();

/**
 * Swagger UI plugin that leaves the optional fields of upload forms empty, and does not send them.
 *
 * Swagger UI itself fills in an example for every field, and so "try it out" would ask for beam
 * search and sampling, a prompt and a seed, all at once; and what is emptied it sends as empty.
 */
const OptionalFieldsAreOptional = () => ({
  wrapComponents: {
    JsonSchemaForm: (Original, { React }) => (props) => {
      const empty = props.dispatchInitialValue && !props.required;
      return React.createElement(Original, empty ? { ...props, dispatchInitialValue: false } : props);
    },
    ParameterIncludeEmpty: (Original, { React }) => (props) => {
      const isIncludedOptions = { ...props.isIncludedOptions, defaultValue: false };
      return React.createElement(Original, { ...props, isIncludedOptions });
    },
  },
});

/** Swagger UI plugin for lists of files: it looks for their field under a name that it lacks. */
const ListsOfFiles = ({ React }) => ({
  components: {
    JsonSchema_string_binary: (props) => React.createElement(props.getComponent("JsonSchema_string"), props),
  },
});

/**
 * Swagger UI plugin for those who do not see the page: headings in order, no link within a button.
 *
 * Addresses such as `#/captions/match` go on working: they are read and written elsewhere.
 */
const Accessible = () => ({
  wrapComponents: {
    DeepLink: (_, { React }) => ({ text }) => React.createElement("span", null, text),
    operations: (Original, { React }) => (props) =>
      React.createElement(
        React.Fragment,
        null,
        React.createElement("h2", { className: "sr-only" }, "Routes"),
        React.createElement(Original, props),
      ),
  },
});

/** Name what Swagger UI leaves without a name of its own; let the keyboard scroll what scrolls. */
function complete() {
  for (const code of document.querySelectorAll("pre.microlight:not([tabindex])")) code.tabIndex = 0;
  for (const region of document.querySelectorAll(".responses-table[id]")) {
    const name = region.id.replaceAll("_", " ");
    if (region.getAttribute("aria-label") !== name) region.setAttribute("aria-label", name);
  }
  for (const select of document.querySelectorAll(".examples-select select:not([aria-label])")) {
    select.setAttribute("aria-label", "Example");
  }
  for (const row of document.querySelectorAll("tr[data-property-name], tr[data-param-name]")) {
    const name = row.dataset.propertyName ?? row.dataset.paramName;
    for (const field of row.querySelectorAll("input:not([aria-label]), select:not([aria-label])")) {
      field.setAttribute("aria-label", name);
    }
  }
}
new MutationObserver(complete).observe(document.body, { childList: true, subtree: true });

SwaggerUIBundle({
  url: "docs.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  // Folded away: every route shows the schemas it has to do with.
  defaultModelsExpandDepth: 0,
  tryItOutEnabled: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [OptionalFieldsAreOptional, ListsOfFiles, Accessible],
});
