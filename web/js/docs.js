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

SwaggerUIBundle({
  url: "docs.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [OptionalFieldsAreOptional],
});
