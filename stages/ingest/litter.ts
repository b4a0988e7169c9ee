/** What systems, file servers and tools leave in folders of images. It is never a class and never an image. */

/** Folders, in lower case: whatever lies in one of them is litter. */
const folders = new Set([
  // macOS
  ...["__macosx", ".appledouble", ".trashes", ".trash", ".spotlight-v100", ".fseventsd", ".temporaryitems", ".documentrevisions-v100"],
  // Windows
  ...["$recycle.bin", "recycler", "system volume information"],
  // Linux desktops and disks
  ...["lost+found", ".thumbnails", ".thumbs", ".xvpics", ".snapshot", ".snapshots", ".zfs", ".dtrash", ".picasaoriginals"],
  // file servers and synchronisation
  ...["@eadir", "#recycle", "@recycle", "#snapshot", "@tmp", ".@__thumb", "@recently-snapshot", ".streams", ".dropbox.cache"],
  ...[".stfolder", ".stversions", ".sync", ".owncloudsync", ".synologyworkingdirectory"],
  // tools of programmers and data sets
  ...[".ipynb_checkpoints", ".git", ".svn", ".hg", ".bzr", ".dvc", ".cache", ".huggingface", "__pycache__", ".pytest_cache"],
  ...[".mypy_cache", ".ruff_cache", ".idea", ".vscode", ".vs", ".virtual_documents"],
]);

/** Files, in lower case. */
const files = new Set([
  ...[".ds_store", ".localized", "icon\r", ".apdisk", ".volumeicon.icns", ".com.apple.timemachine.donotpresent"],
  ...["thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "iconcache.db", "folder.ini"],
  ...[".directory", ".picasa.ini", "picasa.ini", ".nomedia", ".dropbox", ".dropbox.attr", ".stignore"],
  ...[".gitattributes", ".gitignore", ".gitkeep", ".gitmodules", ".keep", ".dvcignore", ".hgignore"],
]);

const patterns = [
  /^\._/, // resource forks
  /^\.trash-\d+$/, // of another user, on a shared disk; a folder
  /^(\.nfs[0-9a-f]{8,}|\.fuse_hidden[0-9a-f]+)$/, // removed while open
  /^(~\$|\.~lock\.)/, // open in an office program
  /:zone\.identifier$/, // from the web, through WSL
  /@(synoeastream|synoresource)$/,
];

/** Whether the file is litter of systems and tools, or lies in a folder of it. */
export function isLitter(name: string): boolean {
  const parts = name.toLowerCase().split("/");
  const base = parts.pop() as string;
  return (
    files.has(base) ||
    parts.some((folder) => folders.has(folder)) ||
    patterns.some((pattern) => [base, ...parts].some((part) => pattern.test(part)))
  );
}
