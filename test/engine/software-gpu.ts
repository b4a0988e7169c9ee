/** A Vulkan driver that needs no GPU, for tests of device "webgpu": Chromium's SwiftShader. */
import { existsSync } from "node:fs";
import { delimiter, dirname } from "node:path";

/** The ICD file of the driver: that of the environment, else where Debian's package `chromium` and others put it. */
export function findDriver(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  const { VK_DRIVER_FILES, VK_ICD_FILENAMES } = environment;
  const known = ["chromium", "chromium-browser", "google-chrome", "/opt/google/chrome"].map((folder) =>
    folder.startsWith("/") ? `${folder}/vk_swiftshader_icd.json` : `/usr/lib/${folder}/vk_swiftshader_icd.json`,
  );
  return VK_DRIVER_FILES || VK_ICD_FILENAMES || known.find((path) => existsSync(path));
}

/** Why tests of WebGPU are skipped where there is no driver. */
export const NO_DRIVER = "no Vulkan driver: install the packages chromium and libvulkan1, or name an ICD file in VK_DRIVER_FILES";

/** Why they are skipped where a driver lies there and no adapter comes of it. */
export const NO_ADAPTER = "there is a Vulkan driver and no adapter comes of it: install the package libvulkan1";

/** The environment in which a child process uses the driver; Vulkan's loader may lie beside it, as Debian's chromium has it. */
export function withDriver(driver: string): NodeJS.ProcessEnv {
  const { LD_LIBRARY_PATH: others, ...environment } = process.env;
  const libraries = [dirname(driver), ...(others ? [others] : [])].join(delimiter);
  return { ...environment, VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver, LD_LIBRARY_PATH: libraries };
}
