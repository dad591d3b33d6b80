"""From images to rows of numbers: inputs, preprocessing, the pipeline that decodes ahead, and its caches."""
