/** Names that operating systems, file servers and tools leave in folders of people: none is anybody's data. */
const litter = [
  /^\._/, // macOS on disks without resource forks (exFAT, SMB)
  /^\.(DS_Store|AppleDouble|AppleDesktop|Spotlight-V100|Trashes|Trash-.*|fseventsd|TemporaryItems|DocumentRevisions-V100)$/i,
  /^\.(nfs[0-9a-f]+|fuse_hidden.*|smbdelete.*|directory|ipynb_checkpoints|thumbnails)$/i,
  /^(Thumbs\.db(:encryptable)?|ehthumbs.*\.db|desktop\.ini|\$RECYCLE\.BIN|System Volume Information)$/i,
  /^(@eaDir|@Recycle|@Recently-Snapshot|@tmp|#recycle|#snapshot|__MACOSX|lost\+found|Icon\r)$/i,
];

/** Whether a file or folder of this name (without its path) is such litter. */
export function isLitterName(name: string): boolean {
  return litter.some((pattern) => pattern.test(name));
}
