window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "list",
  tagsSorter: "alpha",
  persistAuthorization: false,
  tryItOutEnabled: true,
});
