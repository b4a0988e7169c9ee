import { scene, captionOf } from "../data/scenes/scene.ts";
import { renderScene } from "../data/scenes/draw.ts";
import sharp from "sharp";
import { writeGrid } from "../stages/picture/write-grid.ts";
const images=[], captions=[];
for (let i=0;i<48;i++){ const s=scene({seed:5,index:i}); const png=await renderScene(s,{size:64}); const {data}=await sharp(png).removeAlpha().raw().toBuffer({resolveWithObject:true}); images.push({pixels:new Uint8Array(data),width:64,height:64}); captions.push(captionOf(s)); }
await writeGrid({ path: "/tmp/demo/sheet.png", images, columns: 8, scale: 2, captions });
